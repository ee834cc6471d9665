mkdir -m 755 www
head -c 3000000 /dev/zero >www/large
echo hello >www/index.html
cat >nginx.conf <<END
user www-data;
worker_processes 2;
pid /tmp/nginx.pid;
error_log /tmp/error.log;
events { worker_connections 64; }
http {
    access_log /tmp/access.log;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    sendfile on;
    gzip on;
    server { listen 127.0.0.1:80; root /tmp/www; autoindex on; }
    server { listen 127.0.0.1:81; location / { proxy_pass http://127.0.0.1:80; } }
}
END
nginx=/usr/sbin/nginx
$nginx -c /tmp/nginx.conf -e /tmp/error.log
serve() {
    for path in / /large /missing; do
        curl --silent --output /dev/null "http://127.0.0.1/$path"
        curl --silent --compressed --output /dev/null "http://127.0.0.1:81/$path"
    done
}
serve
$nginx -c /tmp/nginx.conf -e /tmp/error.log -s reload
serve
$nginx -c /tmp/nginx.conf -e /tmp/error.log -s quit
while [ -e nginx.pid ]; do sleep 0.05; done
echo done
