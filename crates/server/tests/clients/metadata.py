"""Reads the metadata document with an XML parser; prints what it declares."""

import json
import os
import xml.etree.ElementTree as xml

import requests

EDMX = "{http://docs.oasis-open.org/odata/ns/edmx}"
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"

answer = requests.get(f"{os.environ['BASE_URL']}/api/$metadata")
answer.raise_for_status()
root = xml.fromstring(answer.content)
assert root.tag == f"{EDMX}Edmx" and root.get("Version") == "4.0", root.attrib
(schema,) = root.findall(f"{EDMX}DataServices/{EDM}Schema")
types = {
    kind.get("Name"): {
        "key": [key.get("Name") for key in kind.findall(f"{EDM}Key/{EDM}PropertyRef")],
        "properties": {
            each.get("Name"): {"type": each.get("Type"), "nullable": each.get("Nullable")}
            for each in kind.findall(f"{EDM}Property")
        },
    }
    for kind in schema.findall(f"{EDM}EntityType")
}
sets = {each.get("Name"): each.get("EntityType") for each in schema.findall(f"{EDM}EntityContainer/{EDM}EntitySet")}
print(json.dumps({"schema": schema.get("Namespace"), "types": types, "sets": sets}))
