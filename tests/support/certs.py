"""A certificate authority for tests: P-256 keys, files in one directory, ssl contexts to go with them."""
import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Pair:
    """A certificate and its key, as files and as objects."""

    def __init__(self, directory, stem, cert, key):
        self.certificate, self.key = cert, key
        self.cert_file, self.key_file = directory / f"{stem}.pem", directory / f"{stem}.key"
        self.cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        self.key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def conf(self, **more):
        """As an entry of `certificates`."""
        return {"cert": str(self.cert_file), "key": str(self.key_file), **more}


class Authority:
    """A CA that issues into `directory`."""

    def __init__(self, directory, name="weir test CA"):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._serial = 0
        key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._issue("ca-" + name.replace(" ", "-"), name, key, ca=True)

    @property
    def file(self):
        return str(self.root.cert_file)

    def _issue(self, stem, subject, key, ca=False, hosts=(), usage=None, days=(-1, 30)):
        now = datetime.datetime.utcnow()
        issuer, signer = (_name(subject), key) if ca else (self.root.certificate.subject, self.root.key)
        b = (x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(issuer).public_key(key.public_key())
             .serial_number(x509.random_serial_number()).not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
             .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if hosts:
            import ipaddress
            names = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
            b = b.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage:
            b = b.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return Pair(self.directory, stem, b.sign(signer, hashes.SHA256()), key)

    def server(self, *hosts, days=(-1, 30)):
        self._serial += 1
        stem = f"{hosts[0].replace('*', 'any')}-{self._serial}"
        return self._issue(stem, hosts[0], ec.generate_private_key(ec.SECP256R1()), hosts=hosts, usage=ExtendedKeyUsageOID.SERVER_AUTH,
            days=days)

    def client(self, name, hosts=()):
        self._serial += 1
        return self._issue(f"client-{self._serial}", name, ec.generate_private_key(ec.SECP256R1()), hosts=hosts,
            usage=ExtendedKeyUsageOID.CLIENT_AUTH)

    def ocsp_response(self, pair, path):
        """A good answer for the pair, DER, in a file."""
        now = datetime.datetime.utcnow()
        r = ocsp.OCSPResponseBuilder().add_response(pair.certificate, self.root.certificate, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD,
            now - DAY, now + DAY, None, None).responder_id(ocsp.OCSPResponderEncoding.HASH, self.root.certificate)
        Path(path).write_bytes(r.sign(self.root.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
        return str(path)

    # -- contexts --
    def client_context(self, alpn=("http/1.1",), pair=None, version=None, verify=True):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.load_verify_locations(self.file)
        if not verify:
            ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        if alpn:
            ctx.set_alpn_protocols(list(alpn))
        if pair:
            ctx.load_cert_chain(pair.cert_file, pair.key_file)
        if version:
            ctx.minimum_version = ctx.maximum_version = version
        return ctx

    def server_context(self, pair, alpn=("http/1.1",), client_ca=None):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(pair.cert_file, pair.key_file)
        if alpn:
            ctx.set_alpn_protocols(list(alpn))
        if client_ca:
            ctx.load_verify_locations(client_ca)
            ctx.verify_mode = ssl.CERT_REQUIRED
        return ctx
