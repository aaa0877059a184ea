"""azure-identity, unmodified, with the authority pointed at jumpbag; then the library with its token.

usage: azure_identity.py [certificate]

`certificate` proves itself with key and certificate in the PEM file CLIENT_CERTIFICATE_FILE, else with CLIENT_SECRET.
"""

import os
import sys

from azure.identity import CertificateCredential, ClientSecretCredential

import library

common = {
    "tenant_id": os.environ["TENANT"],
    "client_id": os.environ["CLIENT_ID"],
    "authority": library.BASE,
    "disable_instance_discovery": True,
    "connection_verify": library.CA,
}
if sys.argv[1:] == ["certificate"]:
    credential = CertificateCredential(certificate_path=os.environ["CLIENT_CERTIFICATE_FILE"], **common)
    name = "from-azure-identity-certificate.ps1"
else:
    credential = ClientSecretCredential(client_secret=os.environ["CLIENT_SECRET"], **common)
    name = "from-azure-identity.ps1"
library.tour(credential.get_token(library.SCOPE).token, name)
