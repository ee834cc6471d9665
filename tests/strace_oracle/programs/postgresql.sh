PATH=/usr/lib/postgresql/15/bin:$PATH
initdb --pgdata=data --auth=trust --username=postgres --no-locale >/dev/null
pg_ctl --pgdata=data --log=log --wait --options="-k /tmp -c listen_addresses=127.0.0.1" start >/dev/null
pgbench --host=/tmp --username=postgres --initialize --quiet --no-vacuum postgres 2>/dev/null
pgbench --host=127.0.0.1 --username=postgres --client=4 --jobs=2 --transactions=20 --no-vacuum postgres >/dev/null
psql --host=/tmp --username=postgres --quiet postgres <<END
create table t as select n, md5(n::text) from generate_series(1, 20000) n;
create index on t (md5);
vacuum analyze t;
copy t to '/tmp/copy';
notify done;
checkpoint;
END
pg_ctl --pgdata=data --wait --mode=fast stop >/dev/null
echo done
