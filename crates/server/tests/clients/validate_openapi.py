"""Validates an OpenAPI document against the schema of its version; prints that version.

usage: validate_openapi.py FILE
"""

import json
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
for error in OpenAPIV31SpecValidator(document).iter_errors():
    sys.exit(f"{'/'.join(map(str, error.absolute_path))}: {error.message}")
print(json.dumps(document["openapi"]))
