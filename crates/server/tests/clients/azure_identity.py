"""azure-identity, unmodified, with the authority pointed at jumpbag; then the library with its token."""

import os

from azure.identity import ClientSecretCredential

import library

credential = ClientSecretCredential(
    os.environ["TENANT"],
    os.environ["CLIENT_ID"],
    os.environ["CLIENT_SECRET"],
    authority=library.BASE,
    disable_instance_discovery=True,
    connection_verify=library.CA,
)
library.tour(credential.get_token(library.SCOPE).token, "from-azure-identity.ps1")
