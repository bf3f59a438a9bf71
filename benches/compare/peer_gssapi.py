#!/usr/bin/python3
"""Makes and checks Kerberos tokens in two processes, as both ends of a sign-in do, and prints how many were made.

    peer_gssapi.py CLIENT_KEYTAB SERVICE_KEYTAB N
"""

import multiprocessing
import sys

import gssapi
from gssapi.raw import set_neg_mechs

SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
N_PROCESSES = 2


def sign_in(client_keytab: str, service_keytab: str, n: int, number: int) -> int:
    client = gssapi.Credentials(usage="initiate", mechs=[SPNEGO],
                                store={"client_keytab": f"FILE:{client_keytab}", "ccache": f"MEMORY:{number}"})
    set_neg_mechs(client, [gssapi.MechType.kerberos])
    server = gssapi.Credentials(usage="accept", store={"keytab": f"FILE:{service_keytab}"})
    service = gssapi.Name("HTTP@localhost", gssapi.NameType.hostbased_service)
    for _ in range(n):
        near = gssapi.SecurityContext(name=service, creds=client, mech=SPNEGO, usage="initiate",
                                      flags=gssapi.RequirementFlag.mutual_authentication)
        far = gssapi.SecurityContext(creds=server, usage="accept")
        near.step(far.step(near.step()))
        assert near.complete and far.complete
    return n


def main() -> None:
    client_keytab, service_keytab, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with multiprocessing.Pool(N_PROCESSES) as pool:
        shares = [(client_keytab, service_keytab, n // N_PROCESSES, number) for number in range(N_PROCESSES)]
        print(sum(pool.starmap(sign_in, shares)))


if __name__ == "__main__":
    main()
