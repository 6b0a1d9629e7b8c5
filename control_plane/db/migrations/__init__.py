"""The schema's history. `HEAD` names the newest version; a test holds it against the scripts."""

HEAD = "0009"
