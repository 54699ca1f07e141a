"""What nobody got a CVE for, but what a runtime is expected to hold."""
