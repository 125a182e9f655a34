.DEFAULT_GOAL := help
.PHONY: help run test build generate lint check bench bench-data ledger clean postgres generated

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL    := go tool -modfile=tools/go.mod

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: postgres build ## build and start kezi with demo data on http://127.0.0.1:8080
	@KEZI_LOG_LEVEL=$${KEZI_LOG_LEVEL:-warn} bin/kezi serve --demo

# The race detector needs a C compiler with its headers; everything else here does without.
# All tests but those that are about size, which need no race detector: their names begin with TestLarge, and they run
# after the others. Databases of the tests are reached under row-level security.
test: postgres ## run all tests: with the race detector and row-level security, then those about size
	@set -e; race=-race; \
	if ! printf '#include <stdlib.h>\nint main(void) { return 0; }\n' \
		| $$(go env CC) -x c -o /dev/null - 2>/dev/null; then \
		race=; echo "make test: no working C compiler, so the tests run without the race detector"; \
	fi; \
	command -v chromium chromium-browser google-chrome >/dev/null || \
		echo "make test: no browser here, so the test of Swagger UI is left out (apt-get install -y chromium)"; \
	echo "make test: go test $$race -skip '^TestLarge' ./..."; \
	KEZI_TEST_RLS=1 CGO_ENABLED=$${race:+1} go test $$race -skip '^TestLarge' -timeout 10m ./...; \
	echo "make test: those about size"; \
	go test -run '^TestLarge' -timeout 10m $$(grep -rl '^func TestLarge' --include='*_test.go' . | xargs -n 1 dirname | sort -u); \
	echo "make test: all tests passed$${race:+, with the race detector}"

# -buildvcs=false: the version comes from git describe, and a checkout that git distrusts still builds.
build: ## build bin/kezi
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/kezi ./cmd/kezi

generate: ## regenerate what comes from api/ and other sources
	go generate ./...

lint: ## gofmt and golangci-lint (the first run builds it: about a minute)
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi
	$(TOOL) golangci-lint run

check: lint generated ## lint, and fail where generated files are out of date

# What git sees before and after must be the same, so this works with other changes in the tree as well.
STATE = { git diff; git ls-files --others --exclude-standard; \
	git ls-files --others --exclude-standard | git hash-object --stdin-paths; } | git hash-object --stdin
generated:
	@set -e; before=$$($(STATE)); $(MAKE) --no-print-directory generate; after=$$($(STATE)); \
	if [ "$$before" != "$$after" ]; then \
		git --no-pager diff --stat; git status --short; \
		echo "make generate changed files: commit what it wrote"; exit 1; \
	fi

bench: postgres ## measure on this machine
	go run ./internal/bench

ledger: ## list which tests show which asks of the ledger; ARGS="S3-10 S4-05..10" says which of those have none
	@go run ./internal/ledger $(ARGS)

# BENCH_DATA takes further flags, such as: make bench-data BENCH_DATA="-customers 100000 -transactions 1000000"
bench-data: postgres ## make 1,000,000 customers with 10,000,000 transactions for make bench
	go run ./internal/bench -load $(BENCH_DATA)

clean: ## remove what the build made; data under .kezi/ stays
	rm -rf bin

# A PostgreSQL server, 15 or later, as the launcher in internal/pgserver finds it. Where this may install one, it does.
postgres:
	@set -e; \
	if [ -n "$$KEZI_DATABASE_URL" ]; then exit 0; fi; \
	for p in "$$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres /usr/libexec/postgresql*/postgres \
		/opt/homebrew/opt/postgresql*/bin/postgres /usr/local/opt/postgresql*/bin/postgres; do \
		if [ -x "$$p" ]; then exit 0; fi; \
	done; \
	if ! command -v apt-get >/dev/null; then \
		if command -v brew >/dev/null; then how="brew install postgresql@17"; \
		elif command -v dnf >/dev/null; then how="sudo dnf install -y postgresql-server"; \
		elif command -v apk >/dev/null; then how="sudo apk add postgresql"; \
		elif command -v pacman >/dev/null; then how="sudo pacman -S --noconfirm postgresql"; \
		elif command -v zypper >/dev/null; then how="sudo zypper install -y postgresql-server"; \
		else how="see https://www.postgresql.org/download/"; fi; \
	elif [ "$$(id -u)" = 0 ]; then \
		echo "no PostgreSQL found: installing the package postgresql"; \
		apt-get update; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql; \
		exit 0; \
	else how="sudo apt-get update && sudo apt-get install -y --no-install-recommends postgresql"; fi; \
	echo "no PostgreSQL found (15 or later is needed). To install it:"; echo "  $$how"; exit 1
