# Runs the proxy; a new image takes over beside the old one, so that no request is lost.
: "${image:?}"
# uses: prelude lib_fragment lib_proxy
lock_machine
conf=$root/proxy/conf
# Each image has a folder of its own for its sockets: two proxies stand side by side while one takes over.
proxy_run=$root/proxy/run-${image##*:}
mkdir -p "$conf" "$proxy_run"
# shellcheck disable=SC2034  # the other parts read it
routes=$conf/routes.map fragment=$conf/none
own_files() { cat -- "$conf"/{00-global,10-edge,20-ready}.cfg 2>/dev/null || true; }
before=$(own_files)
# While it is there, the running proxy may not have read what is on disk: whoever was cut short in between left it.
[[ ! -e $root/proxy/unread ]] || before=unread
refused=
[[ -z $before ]] || ! proxy_refuses || refused=yes
: >"$root/proxy/unread"
put "$conf/00-global.cfg" <<'CFG'
# handful's proxy: what holds for every app. Each app has a file of its own beside this one.
global
  stats socket /run/handful/admin.sock mode 600 level admin expose-fd listeners
  stats timeout 10s
  hard-stop-after 30m
  # Checks that should come twice a second begin at once after a reload.
  max-spread-checks 500ms
  fd-hard-limit 65536
  # What is wrong goes to stderr. A line for each request goes to stdout, where Docker keeps the last hundred megabytes.
  log stderr format raw local0 notice
  log stdout format raw local1 info info
  user haproxy
  group haproxy

defaults
  log global
  option dontlognull
  # A reload closes an idle connection only after one more answer on it.
  option idle-close-on-response
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
  timeout connect 2s
  timeout queue 10s
  timeout http-request 30s
  timeout http-keep-alive 75s
  timeout client 60s
  timeout server 60s
  timeout check 5s
CFG
put "$root/proxy/edge.cfg" <<'CFG'
# Public traffic: the host name and path of a request name the app, by the longest route that fits.
frontend handful.edge
  bind :80
  mode http
  log-format "%[date(0,ms)] %b %tsc %rc %ST %Tw %Tc %Tr"
  http-request del-header X-Forwarded-For
  option forwardfor
  http-request set-header X-Forwarded-Proto http unless { req.hdr(X-Forwarded-Proto) -m found }
  http-request set-var(txn.path) path
  http-request set-var(txn.route) hdr(host),host_only,lower,concat(,txn.path,/)
  http-request set-var(txn.app) var(txn.route),map_beg(/etc/haproxy/conf/routes.map,handful.none)
  use_backend handful.maintenance if { var(txn.app),map(/etc/haproxy/conf/maintenance.map) -m found }
  # What must not be sent twice has a backend of its own (lib_fragment), but for tcp apps and those of older releases.
  http-request set-var(txn.once) var(txn.app),concat(.once)
  use_backend %[var(txn.once)] if !{ method GET HEAD OPTIONS } { var(txn.once),nbsrv gt 0 }
  use_backend %[var(txn.app)]

backend handful.none
  mode http
  http-request return status 404 content-type text/plain string "No app has this host name and path.\n"

# `handful maintenance`: the map has the page of each app that is away, in base64.
backend handful.maintenance
  mode http
  http-request return status 503 content-type "text/html; charset=utf-8" hdr Retry-After 60 hdr Cache-Control no-store lf-string "%[var(txn.app),map(/etc/haproxy/conf/maintenance.map),b64dec]"
CFG
# Routes; who is away for maintenance; and whose last instance here is about to stop, which only the running proxy is told.
for map in routes maintenance leaving; do [[ -e $conf/$map.map ]] || : >"$conf/$map.map"; done
write_edge
write_ready
while read -r stranger; do
  [[ -n $stranger ]] || continue
  mkdir -p "$root/proxy/aside"
  mv -- "$conf/$stranger" "$root/proxy/aside/"
  before=
  event setup "$conf/$stranger is not handful's: it is in $root/proxy/aside now"
done < <(strangers; echo)
case $(docker inspect --format '{{.Config.Image}} {{.State.Running}}' handful-proxy 2>/dev/null || true) in
  "$image true")
    # What keeps these from being read is mended after them.
    if [[ -n $refused ]] && proxy_refuses; then
      event setup "the proxy reads its files once those of the apps are right"
      exit 0
    fi
    [[ $before == "$(own_files)" ]] || reload_proxy
    rm -f "$root/proxy/unread"
    exit 0
    ;;
  *" true") name=handful-proxy-next ;;
  *) name=handful-proxy && docker rm --force handful-proxy >/dev/null 2>&1 || true ;;
esac
docker rm --force handful-proxy-next >/dev/null 2>&1 || true
# Who starts it now knows that what runs here is healthy. When Docker starts it, after a reboot, HAProxy takes every instance to be
# up until a check has failed: in its first seconds it says to other machines that nobody can answer (seen: 9 requests lost).
: >"$proxy_run/known"
docker run --detach --name "$name" --restart always --network host --user root --label handful.part=proxy \
  --log-driver json-file --log-opt max-size=20m --log-opt max-file=5 --log-opt compress=false --volume "$conf:/etc/haproxy/conf:ro" --volume "$proxy_run:/run/handful" \
  --entrypoint sh "$image" -c 'HANDFUL_STARTED=$(date +%s); [ ! -e /run/handful/known ] || { rm /run/handful/known; HANDFUL_STARTED=0; }
    export HANDFUL_STARTED; exec haproxy "$@"' haproxy -W -db -S /run/handful/master.sock,mode,600 -f /etc/haproxy/conf >/dev/null
deadline=$(($(now) + 1000))
until [[ $(docker inspect --format '{{.State.Running}}' "$name") == true && -S $proxy_run/admin.sock ]] && proxy_up; do
  (($(now) < deadline)) || fail "the proxy did not start in 10 s" "$(docker logs --tail 10 "$name" 2>&1 >/dev/null)" \
    "See: docker logs $name"
  sleep 0.05
done
ln -sfn "${proxy_run##*/}" "$root/proxy/run"
rm "$root/proxy/unread"
if [[ $name == handful-proxy-next ]]; then
  # The old one takes no new connections, and ends when it has answered those it has.
  old=handful-proxy-old-$(now)
  docker update --restart no handful-proxy >/dev/null
  docker kill --signal USR1 handful-proxy >/dev/null
  docker rename handful-proxy "$old"
  docker rename handful-proxy-next handful-proxy
  # shellcheck disable=SC2016  # the inner shell's
  setsid bash -c 'docker wait "$0" && docker rm "$0"' "$old" </dev/null >/dev/null 2>&1 3>&- 9>&- &
fi
event setup "the proxy runs"
