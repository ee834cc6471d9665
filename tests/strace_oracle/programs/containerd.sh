cat >config.toml <<END
version = 2
root = "/tmp/root"
state = "/tmp/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "/tmp/socket"
END
/usr/bin/containerd --config /tmp/config.toml >log 2>&1 &
ctr() { /usr/bin/ctr --address /tmp/socket "$@" >/dev/null; }
until ctr version 2>/dev/null; do kill -0 $! && sleep 0.1; done
mkdir blobs
ctr content ls
ctr namespaces create witness
head -c 100000 /dev/zero | ctr --namespace witness content ingest witness
ctr --namespace witness images ls
ctr plugins ls
kill $!
wait $! || true
echo done
