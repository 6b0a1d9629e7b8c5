"""How a change of the config reaches many proxies: time, CPU and memory of one control plane replica."""
