# `make` lists what there is. Each target is complete in itself: it installs what
# is missing first (Debian packages, cargo-pgrx), says so, and is quick when
# nothing is. The work is done by the scripts in .ci/.

# The version of PostgreSQL to build for: 15, 16, 17 or 18. Each has a private tree of its own.
PG ?= 15
export PG
FEATURES = $(if $(filter-out 15,$(PG)),--no-default-features --features pg$(PG))
# The tests that need pg_cron, which is there for 15 only.
CRON_TESTS = schedule:: pages::blocks doctor::walk what_the_role_of_a_job what_callers_say_is_no_part
WITHOUT_CRON = $(if $(filter-out 15,$(PG)),$(addprefix --skip ,$(CRON_TESTS)))

# The PostgreSQL that `make install` installs into.
PG_CONFIG = /usr/lib/postgresql/$(PG)/bin/pg_config

# Clusters for tests keep their data in memory, if there is room.
test-e2e test-monitoring lives test-rpc test-ui: export INVOICE_SYNC_IN_MEMORY = 1

.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help: ## lists these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)


.PHONY: demo
demo: build ## starts the demonstration: a shop, a stand-in for Stripe, a server of its own
	@.ci/step "starting the demonstration" examples/demo/demo.sh start

.PHONY: demo-stop
demo-stop: ## stops the demonstration and removes what it made
	@.ci/step "stopping the demonstration" examples/demo/demo.sh stop

.PHONY: demo-ui
demo-ui: build page ## the demonstration with the admin page; prints its address
	@.ci/step "starting the demonstration with the admin page" .ci/gateway with examples/admin-ui/demo/demo-ui.sh start

.PHONY: demo-ui-stop
demo-ui-stop: ## stops it and removes what it made
	@.ci/step "stopping the demonstration with the admin page" examples/admin-ui/demo/demo-ui.sh stop

.PHONY: install
install: ## builds for production and installs into the system's PostgreSQL (PG_CONFIG=...)
	@.ci/step "building for production and installing (first time: 2 to 4 minutes)" .ci/install $(PG_CONFIG)


.PHONY: docs
docs: ## builds the documentation as a site, in target/site, and checks its links
	@.ci/step "building the site of the documentation" .ci/docs

.PHONY: package
package: ## builds the Debian package for PG=... into target/packages and checks it
	@.ci/step "building the package for PostgreSQL $(PG) (first time: 3 to 5 minutes)" packaging/build
	@.ci/step "checking the package" .ci/lint package

.PHONY: test-package
test-package: ## installs that package in a bare Debian, sweeps, removes and purges it (root; PG=15 or 17)
	@.ci/step "building the stand-in for Stripe" cargo build --quiet --package stripe-double
	@.ci/step "testing the package for PostgreSQL $(PG)" packaging/test

.PHONY: setup
setup: ## installs what is missing and makes the private PostgreSQL
	@.ci/setup

.PHONY: build
build: ## builds all, and puts the extension into the private PostgreSQL
	@.ci/step "building the stand-in for Stripe" cargo build --quiet --package stripe-double
	@.ci/step "building the extension (first time: 1 to 4 minutes)" .ci/stage

.PHONY: build-release
build-release:
	@.ci/step "building the extension for production (first time: 2 to 4 minutes)" .ci/stage --release

.PHONY: lint
lint: ## checks the form of Rust, shell, SQL, workflows and images, and who imports whom
	@.ci/step "checking Rust (first time: 1 to 2 minutes)" .ci/lint rust
	@.ci/step "checking who imports whom" .ci/lint imports
	@.ci/step "checking shell scripts" .ci/lint shell
	@.ci/step "checking SQL" .ci/lint sql
	@.ci/step "checking workflows, images and YAML" .ci/lint deploy

.PHONY: test
test: test-unit test-server test-e2e lives test-rpc test-ui ## runs all tests

.PHONY: test-unit
test-unit: ## tests what needs no server
	@.ci/step "testing the stand-in for Stripe" cargo test --quiet --workspace --exclude invoice_sync
	@.ci/step "testing the extension's own logic (first time: 2 to 5 minutes)" cargo test --quiet --lib $(FEATURES) -- --skip ::pg_

.PHONY: test-server
test-server: ## tests the extension inside a server
	@.ci/step "testing the extension inside a server" .ci/test-server ::pg_

.PHONY: test-e2e
test-e2e: build ## tests the whole: server, pg_cron, and the stand-in for Stripe
	@.ci/step "testing end to end" .ci/cluster run e2e -- cargo test --quiet --test e2e $(FEATURES) -- --skip gateway:: --skip lives::lives_ --skip monitoring::exporter $(WITHOUT_CRON)

.PHONY: test-monitoring
test-monitoring: build ## tests examples/monitoring with Debian's exporter and Prometheus
	@.ci/step "installing Prometheus and postgres_exporter" .ci/packages prometheus prometheus-postgres-exporter curl
	@.ci/step "testing the exporter's queries and the alert rules" .ci/cluster run monitoring -- .ci/monitoring

.PHONY: test-moves
test-moves: FROM ?= 15
test-moves: TO ?= 17
test-moves: ## moves a shop between versions of PostgreSQL, by pg_upgrade and by a dump (FROM=15 TO=17)
	@.ci/step "building the stand-in for Stripe" cargo build --quiet --package stripe-double
	@for version in $(FROM) $(TO); do PG=$$version .ci/step "building the extension for PostgreSQL $$version" .ci/stage || exit; done
	@.ci/step "moving a shop" .ci/moves $(FROM) $(TO)

.PHONY: lives
lives: $(if $(RELEASE),build-release,build) ## simulates lives of a shop (pgrx-tests/e2e/lives.rs); RELEASE=1 for many
	@.ci/step "simulating lives of a shop" .ci/cluster run lives -- cargo test --quiet --test e2e $(FEATURES) -- lives::lives_ --nocapture

.PHONY: reference
reference: build ## writes docs/reference.md from the comments of the objects, and what docs/tutorial.md shows
	@.ci/step "writing docs/reference.md and docs/tutorial.md" env INVOICE_SYNC_WRITE=1 .ci/cluster run reference -- cargo test --quiet --test e2e $(FEATURES) -- pages::reference pages::tutorial

.PHONY: test-rpc
test-rpc: build ## tests the calls over HTTP, through an RPC gateway
	@.ci/step "installing the RPC gateway" .ci/gateway setup
	@.ci/step "testing through the RPC gateway" .ci/cluster run rpc -- .ci/gateway with cargo test --quiet --test e2e $(FEATURES) -- gateway:: $(WITHOUT_CRON)

.PHONY: page
page:
	@.ci/step "installing what the admin page needs (first time: 1 minute)" .ci/page setup
	@.ci/step "building the admin page" .ci/page build

.PHONY: test-ui
test-ui: build page ## checks the admin page and tests it in a browser
	@.ci/step "checking the admin page" .ci/page lint
	@.ci/step "installing the RPC gateway" .ci/gateway setup
	@.ci/step "testing the admin page in a browser" .ci/cluster run ui -- .ci/gateway with .ci/page test

.PHONY: pictures
pictures: build page ## makes the pictures of the admin page in docs/screenshots
	@.ci/step "taking pictures of the admin page" .ci/cluster run ui -- .ci/gateway with .ci/page pictures

.PHONY: bench
bench: build-release ## measures, with a production build
	@.ci/step "building the stand-in for Stripe for production" cargo build --quiet --release --package stripe-double
	@.ci/step "measuring (a million invoices are made for it: have patience)" bench/run $(SCENARIO)

.PHONY: clean
clean: ## removes all that was built, and the private PostgreSQL
	@for version in 15 16 17 18; do PG=$$version .ci/setup --remove; done
	@cargo clean
