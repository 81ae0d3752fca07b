# Read by the scripts that run what is in tests/node: ends the script, with a line that says so, where there is no node, and
# fetches the packages, anew only when the lock file has changed. `$name` is the script's own name, `$node_folder` the folder
# that has the lock file, where it is not tests/node. Packages that cannot be fetched are an error, unless `$without_packages` is
# `skip`.

skip() {
    echo "$name: SKIPPED: $1"
    exit 0
}
command -v node >/dev/null || skip "node is not installed; what is tested with it was not tested"
command -v npm >/dev/null || skip "npm is not installed; what is tested with node was not tested"
node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' || skip "it needs node 20 or newer, this is $(node --version)"

node_folder=${node_folder:-tests/node}
if ! cmp -s "$node_folder/package-lock.json" "$node_folder/node_modules/.fetched"; then
    echo "$name: fetching the packages"
    if ! npm ci --prefix "$node_folder" --no-audit --no-fund --loglevel error; then
        [ "${without_packages:-}" = skip ] || exit 1
        skip "npm could not fetch the packages; what is tested with them was not tested"
    fi
    cp "$node_folder/package-lock.json" "$node_folder/node_modules/.fetched"
fi
