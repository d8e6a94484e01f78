#!/usr/bin/env bash
# Makes the JSON schema that dashboards are tested against out of the types that Grafana publishes: needs npm. The
# versions are in test/monitoring/grafana/package.json; the schema is committed, so that the tests need neither.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp test/monitoring/grafana/* "$dir"
cd "$dir"
npm install --no-audit --no-fund --no-package-lock --ignore-scripts >&2
npx ts-json-schema-generator --tsconfig tsconfig.json --path dashboard.ts --type NodeguardDashboard --no-type-check \
  --no-top-ref --expose none >schema.json
cd - >/dev/null
jq --sort-keys --indent 1 'del(.. | .description? | strings)' "$dir/schema.json" >test/monitoring/testdata/dashboard.schema.json
