"""Ways to write an address that no provider may have, and addresses that a name may lead to."""

from __future__ import annotations

# Refused where they are declared: base URLs that say plainly what they are.
AT_WRITE: tuple[str, ...] = (
    "https://127.0.0.1/v1",
    "https://127.127.127.127/v1",
    "https://127.0.0.1:22/v1",
    "HTTPS://127.0.0.1/v1",
    "http://127.0.0.1/v1",
    "https://0.0.0.0/v1",
    "https://localhost/v1",
    "https://LOCALHOST/v1",
    "https://a.localhost/v1",
    "https://[::1]/v1",
    "https://[::]/v1",
    "https://[::ffff:127.0.0.1]/v1",
    "https://[::ffff:7f00:1]/v1",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/v1",
    "https://[64:ff9b:1::7f00:1]/v1",
    "https://[2002:7f00:1::]/v1",
    "https://[fe80::1]/v1",
    "https://[fe80::1%25lo]/v1",
    "https://[fd00:ec2::254]/v1",
    "https://[::ffff:a9fe:a9fe]/v1",
    "https://10.0.0.1/v1",
    "https://172.16.0.1/v1",
    "https://192.168.1.1/v1",
    "https://100.100.100.200/v1",
    "https://169.254.169.254/latest/meta-data",
    "https://user@127.0.0.1/v1",
    "https://api.openai.com@127.0.0.1/v1",
    "https://api.openai.com:443@127.0.0.1/v1",
    "https://127.0.0.1#@api.openai.com/v1",
    "https://127.0.0.1?@api.openai.com/v1",
    "https://127.0.0.1\\@api.openai.com/v1",
    "https://api.openai.com\\@127.0.0.1/v1",
    "https:127.0.0.1/v1",
    "https:/127.0.0.1/v1",
    "https:///127.0.0.1/v1",
    "//127.0.0.1/v1",
    "file:///etc/passwd",
    "gopher://127.0.0.1/v1",
    "unix:///run/secrets.sock",
    "https://①②⑦.0.0.1/v1",
    "https://127。0。0。1/v1",
    "https://[127.0.0.1]/v1",
    "https://127.0.0.1:443:80/v1",
)

# Hosts that are no address to a careful parser and one to the system's resolver: refused at connect.
RESOLVED_ODDLY: tuple[str, ...] = (
    *("127.1", "127.0.1", "0177.0.0.1", "0177.1", "0x7f.0.0.1", "0x7f.1", "0x7f000001"),
    *("2130706433", "017700000001", "0", "00.0", "10.1", "012.1", "0xc0a80101", "3232235777"),
    *("0xa9fea9fe", "2852039166", "169.254.43518", "0251.0376.0251.0376", "4294967295", "224.0.0.1"),
    *("168.63.129.16", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[::ffff:0:127.0.0.1]", "[fec0::1]"),
)

# Where an innocent name leads, on a provider that has no business in private networks.
PRIVATE: tuple[str, ...] = (
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1"),
    *("172.16.0.1", "172.31.255.255", "192.168.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:0a00:0001::", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
    *("fc00::1", "fd12:3456::1", "fec0::1", "2001:db8::1"),
)

# Refused everywhere, also where private networks are permitted.
NEVER: tuple[str, ...] = (
    *("169.254.169.254", "169.254.170.2", "169.254.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("2002:a9fe:a9fe::", "::169.254.169.254", "100.100.100.200", "::ffff:100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::1"),
    *("0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255"),
)
