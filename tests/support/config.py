"""Short ways to write a configuration: dicts that edge() turns into YAML."""


def pool(*backends, **keys):
    """A pool of these backends (origins, "host:port", or dicts); keys: weight and whatever a pool may override."""
    return {**keys, "backends": [b if isinstance(b, dict) else str(b) for b in backends]}


def site(*backends, pools=None, service=None, tenant=None, routes=None, hosts=("acme.test", "*.acme.test"), services=None, **top):
    """One tenant, acme, with one service, shop, of one pool, blue; every part can be said otherwise. top: keys of the root."""
    conf = dict(top)
    shop = {"pools": pools or {"blue": pool(*backends)}, **(service or {})}
    acme = {"hosts": list(hosts), "services": services or {"shop": shop}, **(tenant or {})}
    if routes is not None:
        acme["routes"] = routes
    conf.setdefault("tenants", {})["acme"] = acme
    return conf


def http(**keys):
    return {"address": "127.0.0.1:0", **keys}


def https(*pairs, tls=None, **keys):
    """A TLS listener with these certificates (certs.Pair, or dicts)."""
    certificates = [p if isinstance(p, dict) else p.conf() for p in pairs]
    return {"address": "127.0.0.1:0", "tls": {**({"certificates": certificates} if certificates else {}), **(tls or {})}, **keys}
