#!/bin/sh
# nginx, with as many processes as it is told. usage: nginx.sh THREADS BYTES PORT. With LUA=1 in the environment its Lua
# module answers, which is unpacked below build/http/nginx-lua: Debian's package would take the place of luajit.
set -eu
folder=$PWD/build/http
modules="" here="return 200 \"Hello, world\\n\";"
if [ -n "${LUA:-}" ]; then
  of=$folder/nginx-lua/usr
  modules=$of/lib/nginx/modules
  modules="load_module $modules/ndk_http_module.so; load_module $modules/ngx_http_lua_module.so;"
  here="content_by_lua_block { ngx.header['Content-Length'] = 13; ngx.print('Hello, world\\n') }"
  export LD_LIBRARY_PATH=$of/lib/x86_64-linux-gnu
  lua="lua_package_path '$of/share/lua/5.1/?.lua;;';"
fi
[ "$2" = 13 ] || here="root $folder/files;"
mkdir -p "$folder/nginx-$3"
cat >"$folder/nginx-$3/conf" <<END
$modules
daemon off; worker_processes $1; pid $folder/nginx-$3/pid; error_log $folder/nginx-$3/errors;
events { worker_connections 4096; }
http {
  ${lua:-}
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75; sendfile on; tcp_nopush on;
  types { text/plain txt; }
  client_body_temp_path $folder/nginx-$3; proxy_temp_path $folder/nginx-$3; fastcgi_temp_path $folder/nginx-$3;
  uwsgi_temp_path $folder/nginx-$3; scgi_temp_path $folder/nginx-$3;
  server { listen 127.0.0.1:$3 backlog=4096; default_type text/plain; location / { $here } }
}
END
exec nginx -c "$folder/nginx-$3/conf"
