# Read by the scripts that run what is in tests/node: ends the script, with a line that says so, where there is no node, and
# fetches the packages, anew only when the lock file has changed. `$name` is the script's own name.

skip() {
    echo "$name: SKIPPED: $1"
    exit 0
}
command -v node >/dev/null || skip "node is not installed; what is tested with it was not tested"
command -v npm >/dev/null || skip "npm is not installed; what is tested with node was not tested"
node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' || skip "it needs node 20 or newer, this is $(node --version)"

if ! cmp -s tests/node/package-lock.json tests/node/node_modules/.fetched; then
    echo "$name: fetching the packages"
    npm ci --prefix tests/node --no-audit --no-fund --loglevel error
    cp tests/node/package-lock.json tests/node/node_modules/.fetched
fi
