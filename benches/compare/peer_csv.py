"""The checks of `cmbatch validate` that a person would script, with Python's csv module: peer_csv.py FILE

Checked are: the twelve request types in any case; the form of template and target; a template for Enroll; a priority of 0 to
255 or none; ids that are not given twice; and no row that asks for the same as another. Printed is the number of faults.
"""

import csv
import re
import sys

TYPES = {"enroll", "duplicate", "offlineunblock", "onlineupdate", "renew", "recover", "recoveronbehalf", "reinstate", "retire",
         "revoke", "temporarycards", "unblock"}
GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").fullmatch


def main(path):
    n_faults = 0
    ids, requests = set(), set()
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        column = header.index
        id_at, type_at, template_at = column("id"), column("type"), column("profiletemplateuuid")
        target_at, priority_at = column("target"), column("priority")
        for row in rows:
            id_, kind, template = row[id_at], row[type_at].lower(), row[template_at]
            target, priority = row[target_at], row[priority_at]
            if (kind not in TYPES or not GUID(target) or not (GUID(template) if template else kind != "enroll")
                    or priority and not (priority.isascii() and priority.isdigit() and int(priority) <= 255)):
                n_faults += 1
                continue
            request = (kind, target.lower(), template.lower())
            if id_ and id_ in ids or request in requests:
                n_faults += 1
            ids.add(id_)
            requests.add(request)
    print(n_faults)


main(sys.argv[1])
