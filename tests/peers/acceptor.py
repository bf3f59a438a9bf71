"""A server that takes Kerberos tokens only where they are bound to the certificate of its TLS (Extended Protection).

usage: acceptor.py PORT SETTINGS LOG BACKEND-PORT

SETTINGS is a JSON file, read at the start and again on SIGHUP: the files "certificate" and "key", and the "hash" of the
certificate's signature. Connections made before a SIGHUP keep what they began with, and end with their next answer. Each
request that is let through goes to the server on BACKEND-PORT; LOG has a line for each request.
"""

import base64
import hashlib
import http.client
import http.server
import json
import signal
import ssl
import sys
import threading

import gssapi

PORT, SETTINGS, LOG, BACKEND = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


class Site:
    """A certificate, and what tokens have to be bound to."""

    def __init__(self):
        with open(SETTINGS) as file:
            settings = json.load(file)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(settings["certificate"], settings["key"])
        with open(settings["certificate"]) as file:
            der = ssl.PEM_cert_to_DER_cert(file.read())
        binding = b"tls-server-end-point:" + hashlib.new(settings["hash"], der).digest()
        self.bindings = gssapi.raw.ChannelBindings(application_data=binding)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    site = None
    credentials = None
    log_lock = threading.Lock()

    def setup(self):
        self.own_site = Handler.site
        self.request = self.own_site.tls.wrap_socket(self.request, server_side=True)
        self.backend = http.client.HTTPConnection("127.0.0.1", BACKEND)
        super().setup()

    def finish(self):
        super().finish()
        self.backend.close()
        # The server closes only the socket below TLS, which is this one's no longer.
        self.request.close()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        verdict, proof = self.judge()
        self.note(verdict)
        if verdict != "bound":
            return self.answer(401, [("WWW-Authenticate", "Negotiate")], b"no")
        headers = {"Content-Type": self.headers["Content-Type"]} if body else {}
        self.backend.request(self.command, self.path, body, headers)
        answer = self.backend.getresponse()
        content = answer.read()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() in ("content-type", "location")]
        self.answer(answer.status, [*kept, ("WWW-Authenticate", f"Negotiate {proof}")], content)

    do_GET = do_POST = serve

    def judge(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Negotiate":
            return "nobody", None
        try:
            accepted = gssapi.raw.accept_sec_context(
                base64.b64decode(token), Handler.credentials, channel_bindings=self.own_site.bindings
            )
        except gssapi.raw.BadChannelBindingsError:
            return "other-binding", None
        except gssapi.raw.GSSError:
            return "refused", None
        is_bound = gssapi.RequirementFlag.channel_bound in accepted.flags
        return ("bound" if is_bound else "unbound"), base64.b64encode(accepted.token).decode()

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        if self.own_site is not Handler.site:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def note(self, verdict):
        with Handler.log_lock, open(LOG, "a") as log:
            log.write(f"{verdict} {self.command}\n")

    def log_message(self, *_):
        """Standard error stays empty."""


def renew(*_):
    Handler.site = Site()


Handler.credentials = gssapi.Credentials(usage="accept")
renew()
signal.signal(signal.SIGHUP, renew)
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
