# Tells the agent how this machine is called in a stack, and how the stack's logs are kept; it reads that by itself.
: "${stack:?}" "${text:?}"
# uses: prelude
mkdir -p "$root/stacks/$stack"
put "$root/stacks/$stack/agent.json" <<<"$text"
