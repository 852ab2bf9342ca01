# On the machine, not measured: how many containers more than those that serve there are. $1: instances of an app.
set -euo pipefail
leaving=0
for label in handful.instance by_hand.instance; do
  count=$(docker ps --all --quiet --filter "label=$label" | wc -l)
  leaving=$((leaving + (count > $1 ? count - $1 : 0)))
done
echo "$leaving"
