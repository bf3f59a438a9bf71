# One curl for each row, as people script it: peer_shell.sh URL ROWS BODY
set -e
i=0
while [ $i -lt "$2" ]; do
    curl -sf -o /dev/null -H 'Content-Type: application/json' --data-binary "@$3" "$1"
    i=$((i + 1))
done
echo $i
