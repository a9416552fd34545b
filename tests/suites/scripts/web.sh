#!/bin/sh
# nginx with workers of another user, in front of php-fpm with workers of another user.
# shellcheck disable=SC2013,SC2016 # PIDs are words; the page is PHP
set -eu
mkdir /tmp/web
chmod 755 /tmp/web
cd /tmp/web
echo '<?php echo posix_geteuid(), " ", strlen(str_repeat("x", 1 << 20)), " ", md5($_SERVER["QUERY_STRING"]);' \
    >x.php
yes 'a line of the page' | head -n 20000 >page
cat >php.conf <<END
[global]
pid = /tmp/web/php.pid
error_log = /tmp/web/php.log
[www]
user = www-data
listen = /tmp/web/php.sock
listen.owner = www-data
pm = static
pm.max_children = 3
pm.max_requests = 10
END
cat >nginx.conf <<END
user www-data;
worker_processes 2;
pid /tmp/web/nginx.pid;
error_log /tmp/web/nginx.log notice;
thread_pool default threads=4;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path /tmp/web/body;
    proxy_temp_path /tmp/web/proxy;
    fastcgi_temp_path /tmp/web/fastcgi;
    uwsgi_temp_path /tmp/web/uwsgi;
    scgi_temp_path /tmp/web/scgi;
    server {
        listen unix:/tmp/web/nginx.sock;
        listen 127.0.0.1:8080;
        root /tmp/web;
        aio threads;
        location ~ php\$ {
            fastcgi_pass unix:/tmp/web/php.sock;
            fastcgi_param SCRIPT_FILENAME /tmp/web\$fastcgi_script_name;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param REQUEST_METHOD \$request_method;
        }
    }
}
END
fpm=$(command -v php-fpm8.2)
"$fpm" -t -y php.conf 2>&1 | grep -o 'test is successful'
"$fpm" -y php.conf
nginx -t -e /tmp/web/nginx.log -c /tmp/web/nginx.conf 2>&1 | grep -v ' \[notice\] '
nginx -e /tmp/web/nginx.log -c /tmp/web/nginx.conf
until [ -s nginx.pid ] && [ -s php.pid ]; do sleep 0.02; done
children() { # of the process in file $1: how many there are of each user
    sleep 0.3
    for child in $(cat "/proc/$(cat "$1")/task/"*/children); do
        sed -n 's/^Uid:\t\([0-9]*\).*/uid \1/p' "/proc/$child/status"
    done | sort | uniq -c
}
ask() { curl -s "$@" | md5sum; }
requests() {
    ask http://127.0.0.1:8080/page
    ask --unix-socket nginx.sock http://localhost/page
    ask "http://127.0.0.1:8080/x.php?[1-50]"
    # Concurrently; the answers are checked one after the other.
    curl -s --parallel -o 'got#1' "http://127.0.0.1:8080/page?[1-50]" 2>/dev/null
    cat got* | md5sum
    rm got*
    curl -s --unix-socket nginx.sock http://localhost/x.php?same
}
children nginx.pid
children php.pid
requests
kill -HUP "$(cat nginx.pid)"
kill -USR2 "$(cat php.pid)"
sleep 0.5
until [ -s nginx.pid ] && [ -s php.pid ]; do sleep 0.02; done
children nginx.pid
children php.pid
requests
nginx=$(cat nginx.pid)
kill -QUIT "$nginx" "$(cat php.pid)"
while [ -e nginx.pid ] || [ -e php.pid ]; do sleep 0.02; done
grep -ciE 'crit|alert|emerg|signal (4|6|7|11)' nginx.log || true
grep -ciE 'error|SIGSEGV|SIGABRT' php.log || true
rm -r /tmp/web
