"""One typed settings tree: defaults < ``bostream.toml`` < ``BOSTREAM_*`` < flags."""
