"""Keys, JSON Web Key Sets and signed tokens (RFC 7515, 7517), made by another library than the one under test uses them with."""
import base64
import json

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


class Key:
    """alg: RS256, PS256, ES256, EdDSA."""

    def __init__(self, alg, kid=None):
        self.alg, self.kid = alg, kid
        self.private = (ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else ed25519.Ed25519PrivateKey.generate() if alg == "EdDSA"
                        else rsa.generate_private_key(65537, 2048))

    def pem(self):
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def jwk(self):
        public = self.private.public_key()
        if self.alg == "ES256":
            n = public.public_numbers()
            key = {"kty": "EC", "crv": "P-256", "x": number(n.x, 32), "y": number(n.y, 32)}
        elif self.alg == "EdDSA":
            key = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))}
        else:
            n = public.public_numbers()
            key = {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
        return {**key, "use": "sig", "alg": self.alg, **({"kid": self.kid} if self.kid else {})}

    def _sign(self, text):
        if self.alg == "ES256":
            r, s = decode_dss_signature(self.private.sign(text, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.alg == "EdDSA":
            return self.private.sign(text)
        if self.alg == "PS256":
            return self.private.sign(text, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self.private.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def token(self, claims, **head):
        """head: members of the token's head in place of the true ones."""
        head = {"alg": self.alg, "typ": "JWT", **({"kid": self.kid} if self.kid else {}), **head}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{text}.{b64(self._sign(text.encode()))}"


def key_set(*keys):
    return json.dumps({"keys": [k.jwk() for k in keys]})


def unsigned(claims):
    """alg none."""
    return f"{b64(json.dumps({'alg': 'none'}).encode())}.{b64(json.dumps(claims).encode())}."


def confused(key, claims):
    """Signed with HMAC, the public key as its secret: whoever lets the token choose the algorithm takes it."""
    text = f"{b64(json.dumps({'alg': 'HS256'}).encode())}.{b64(json.dumps(claims).encode())}"
    mac = hmac.HMAC(key.pem().encode(), hashes.SHA256())
    mac.update(text.encode())
    return f"{text}.{b64(mac.finalize())}"
