set -u -o pipefail
cd "$(mktemp -d)"
# A long pipeline over a file that is too large for the pipes.
seq 1 200000 > numbers
sort -r numbers | awk '{ sum += $1; if (NR % 1000 == 0) print sum }' | tee sums | sha256sum
paste sums <(tac sums) | cut -f 2 | head -n 3
grep -c 7 numbers | tr -d '\n' | wc -c
# A reader that leaves early: the writer gets SIGPIPE.
seq 1000000 | head -n 2; echo "statuses ${PIPESTATUS[*]}"
# Here-documents, loops, substitutions, a function in a subshell, jobs.
while read -r word count; do printf '%s=%s\n' "$word" "$((count * 2))"; done <<END
one 1
two 2
END
total() { (for n in "$@"; do echo "$n"; done) | xargs -n 1 expr 1 + | sort -n | uniq | wc -l; }
total 1 2 3 2 1
sleep 0.02 & job=$!
(exit 5) & wait $!; echo "job $?"
wait $job; echo "slept $?"
trap 'echo trapped' USR1; kill -USR1 $$
timeout 0.02 sleep 60; echo "timeout $?"
# Files: links, folders, modes, a walk.
mkdir -p tree/branch; touch tree/branch/leaf; ln -s branch tree/link; ln sums tree/sums; chmod 700 tree; mv tree/sums tree/moved
find tree | sort; cp -r tree copy; diff -r tree copy && echo same; rm -r tree copy
dd if=numbers of=part bs=1000 count=2 2> /dev/null; truncate -s 1500 part; stat -c '%s %a' part; date -d @0 +%Y
exec 3> log; echo logged >&3; exec 3>&-; cat log
exit 3
