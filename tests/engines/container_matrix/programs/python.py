# What a Python program does with the kernel's help, in a few hundred milliseconds. It prints the same each time.
import asyncio, hashlib, mmap, multiprocessing, os, queue, select, shutil, signal, socket, sqlite3, subprocess, sys
import tempfile, threading, time

# Threads: a pool that shares a queue and a lock.
tasks, results, lock = queue.Queue(), {}, threading.Lock()
def work():
    while (n := tasks.get()) is not None:
        digest = hashlib.sha256(b"%d" % n * 100_000).hexdigest()
        with lock:
            results[n] = digest
pool = [threading.Thread(target=work) for _ in range(8)]
for thread in pool: thread.start()
for n in range(64): tasks.put(n)
for _ in pool: tasks.put(None)
for thread in pool: thread.join()
print("threads", hashlib.sha256("".join(results[n] for n in range(64)).encode()).hexdigest())

# Subprocesses: a pipe, a shell, an environment, another folder, failures, a signal, a time limit.
piped = subprocess.run(["sort", "-r"], input=b"a\nc\nb\n", capture_output=True)
print("pipe", piped.stdout, piped.returncode)
print("shell", subprocess.check_output("echo $GREETING | tr a-z A-Z; pwd", shell=True, env={"GREETING": "hello"}, cwd="/usr"))
print("status", subprocess.run(["false"]).returncode)
try: subprocess.run(["/no/such/program"])
except FileNotFoundError as error: print("missing", error.strerror)
sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
os.killpg(sleeper.pid, signal.SIGTERM)
print("killed", sleeper.wait())
try: subprocess.run(["sleep", "60"], timeout=0.02)
except subprocess.TimeoutExpired: print("timeout")
crowd = [subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(4)]
print("crowd", [child.wait() for child in crowd])
with multiprocessing.get_context("fork").Pool(2) as workers:
    print("fork", workers.map(abs, range(-4, 0)))

# Sockets and an event loop.
async def echo(reader, writer):
    writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
async def talk(port, n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello %d\n" % n); answer = await reader.read(); writer.close()
    return answer
async def loop():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("asyncio", await asyncio.gather(*(talk(port, n) for n in range(8))))
    shell = await asyncio.create_subprocess_shell("cat; exit 4", stdin=-1, stdout=-1)
    print("subprocess", await shell.communicate(b"through"), shell.returncode)
    server.close()
asyncio.run(loop())
ours, theirs = socket.socketpair()
ours.sendall(b"ping"); print("socketpair", theirs.recv(4), select.select([ours], [], [], 0.001)[0])

# Files: a folder, a map, a database, links, a walk.
folder = tempfile.mkdtemp()
os.chdir(folder)
with open("data", "w+b") as file:
    file.truncate(1 << 20); os.fsync(file.fileno())
    with mmap.mmap(file.fileno(), 0) as view: view[-4:] = b"tail"
    file.seek(-4, os.SEEK_END); print("mmap", file.read())
os.link("data", "hard"); os.symlink("data", "soft"); os.rename("hard", "moved"); os.chmod("moved", 0o600)
shutil.copy("data", "copied")
print("files", sorted(os.listdir()), os.readlink("soft"), oct(os.stat("moved").st_mode))
base = sqlite3.connect("base")
base.execute("create table t (n)"); base.executemany("insert into t values (?)", [(n,) for n in range(1000)])
base.commit(); print("sqlite", base.execute("select sum(n) from t").fetchone()); base.close()
os.chdir("/"); shutil.rmtree(folder)

# Signals and clocks.
rung = threading.Event()
signal.signal(signal.SIGALRM, lambda *_: rung.set())
signal.setitimer(signal.ITIMER_REAL, 0.01)
signal.pause(); print("alarm", rung.is_set())
time.sleep(0.01)
sys.exit(7)
