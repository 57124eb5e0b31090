# `make run` and `make test` need Go and make only.

DIST       ?= dist
FUZZTIME   ?= 20s
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# These variables override the user's environment, so that the same source gives the same bytes.
GO_BUILD    = GOAMD64=v1 GOARM64=v8.0 GOFLAGS= GOEXPERIMENT= CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION)'
# pack runs on this machine, even when GOARCH names another one for the program.
PACK        = GOOS=$(shell go env GOHOSTOS) GOARCH=$(shell go env GOHOSTARCH) go run -buildvcs=false ./infra/pack

.DEFAULT_GOAL := help
.PHONY: help run start test lint vuln fuzz ci azurite-test receivers-test foreign-fhir-test examples-test clients-test smart-clients-test page-test screenshots bench azurite-bench dist dist-local dist-lambda fmt clean

##@ Try it

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run fhirlink on this machine, with a sandbox Entra and sandbox FHIR servers
	go run ./functions/cmd/local $(if $(ADDR),-addr $(ADDR))

start: ## Run the Azure program on this machine, under Core Tools
	@command -v func >/dev/null || { \
		echo "Azure Functions Core Tools (the command func) are not installed."; \
		echo "Install them with: npm install -g azure-functions-core-tools@4"; \
		echo "or see https://learn.microsoft.com/azure/azure-functions/functions-run-local"; exit 1; }
	@test -f local.settings.json || { \
		echo "There is no local.settings.json yet: cp local.settings.json.example local.settings.json, then fill it in."; exit 1; }
	@$(MAKE) --no-print-directory dist-local
	cp local.settings.json dist-local/
	func start --script-root dist-local

##@ Check it

test: ## Run the tests
	go test -shuffle=on ./...

lint: ## Check the format, go vet, staticcheck, go.mod, and with npm Bicep, KQL, openapi.yaml and the pages' script
	@unformatted=$$(go tool gofumpt -l functions shared infra); \
		if [ -n "$$unformatted" ]; then echo "make fmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff
	@if command -v npm >/dev/null; then infra/lint/run && functions/clients/lint && functions/manage/browser/lint; \
		else echo "The Bicep files, the KQL queries, openapi.yaml and the pages' script were NOT CHECKED: that needs npm."; fi

vuln: ## Check the linked modules for known vulnerabilities (asks vuln.go.dev)
	go tool govulncheck ./...

fuzz: ## Run every fuzz target for FUZZTIME (default 20s)
	@grep -rl --include='*_test.go' '^func Fuzz' functions shared infra | sort | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$target in $${file%/*}"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "./$${file%/*}" || exit 1; \
		done; \
	done

ci: ## Run all checks with .ci/run (takes long, needs npm)
	.ci/run

##@ Check it with other software

azurite-test: ## Run the tests that need Azurite, the emulator of Table Storage (needs npm)
	.ci/azurite go test -count=1 -shuffle=on ./shared/store/... ./functions/cmd/azure ./functions/cmd/comparehosts

receivers-test: ## Send webhooks and mail to third-party receivers (needs npm)
	.ci/receivers go test -count=1 -shuffle=on ./shared/notify/...

foreign-fhir-test: ## Verify a third-party FHIR server (needs npm)
	.ci/foreign-fhir go test -count=1 -v -run '^TestForeignServer$$' ./functions/cmd

examples-test: ## Run the client examples (installs curl, Node.js, Python and Mono if missing)
	.ci/examples go test -count=1 -v -run '^TestExamples$$' ./functions/cmd

clients-test: ## Run clients generated from openapi.yaml (needs npm; installs Mono if missing)
	.ci/clients go test -count=1 -v -run '^TestClients$$' ./functions/cmd

smart-clients-test: ## Run SMART authorization with clients and servers of others (needs npm; installs Chromium if missing)
	.ci/smart-clients go test -count=1 -v -run '^TestOthers' ./functions ./functions/cmd

page-test: ## Walk through the pages and the SMART app with a browser (needs npm; installs Chromium if missing)
	.ci/pages --test --test-concurrency=1 --test-reporter=spec pages.test.mjs signin.test.mjs smart.test.mjs

screenshots: ## Make the pictures of the README with a browser (needs npm; installs Chromium if missing)
	.ci/pages screenshots.mjs

##@ Measure it

bench: ## Measure the promised numbers and compare them with their bounds
	go test -count=1 -timeout 30m -run '^$$' -bench . -benchtime 1x ./functions/cmd
	go test -count=1 -run '^$$' -bench "SweepRequests|TrimRequests" -benchtime 1x ./shared/store/aztable
	@echo 'Scopes: x-replacer at most 1.5, allocs/scope at most 1, of-bare at least 0.15, of-json (a hostile 64 KiB against encoding/json) at most 8.'
	go test -count=1 -run '^$$' -bench . -benchtime 0.5s ./shared/smart ./functions/translate-scope

azurite-bench: ## Count the requests of a sweep of 100,000 links to Azurite (needs npm)
	.ci/azurite go test -count=1 -timeout 30m -run '^$$' -bench "SweepRequests|TrimRequests" -benchtime 1x ./shared/store/aztable

##@ Host it

dist: ## Build the Azure program and its script root in dist/ (linux/amd64), and pack dist.zip
	$(call stage,$(DIST),linux,amd64)
	rm -f '$(DIST:/=).zip'
	$(PACK) '$(DIST)' '$(DIST:/=).zip' handler host.json '*/function.json'

dist-local:
	$(call stage,dist-local,$(shell go env GOHOSTOS),$(shell go env GOHOSTARCH))

dist-lambda: GOARCH ?= arm64
dist-lambda: ## Build the Lambda program in dist-lambda/ (arm64, or GOARCH=amd64), and pack function.zip
	rm -rf dist-lambda
	GOOS=linux GOARCH=$(GOARCH) $(GO_BUILD) -tags lambda.norpc -o dist-lambda/bootstrap ./functions/cmd/lambda
	$(PACK) dist-lambda dist-lambda/function.zip bootstrap

##@ Tidy up

fmt: ## Format the code
	go tool gofumpt -w functions shared infra

clean: ## Remove what make built, but not the data of make run
	rm -rf dist dist.zip dist-local dist-lambda functions/clients/generated functions/clients/ogen/api

# stage builds a script root. The Functions host looks for function.json only in the direct children
# of the script root. stage removes the folder first, so it refuses one that make did not stage.
define stage
	@test ! -e '$(1)' || ls -A '$(1)' | while read -r entry; do \
		case $$entry in handler | host.json | local.settings.json) continue ;; esac; \
		test "$$(ls -A '$(1)'/"$$entry")" = function.json || { \
			echo "$(1) would be removed, and holds something that make did not stage: $$entry. Name another folder."; exit 1; }; \
	done
	rm -rf '$(1)'
	mkdir -p '$(1)'
	cp host.json '$(1)/'
	for f in functions/*/function.json; do d='$(1)'/$$(basename $$(dirname $$f)); mkdir -p "$$d" && cp $$f "$$d/"; done
	GOOS=$(2) GOARCH=$(3) $(GO_BUILD) -o '$(1)/handler' ./functions/cmd/azure
endef
