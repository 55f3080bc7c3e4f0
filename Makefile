# make alone lists the targets. What they do stands in .ci/run, once.
.PHONY: help check test race fuzz bench ci

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 8

check: ## the quick gate, under two minutes: format, vet, floors and style, short tests
	@.ci/run format vet house short

test: ## go test ./... with the interoperability tests
	@.ci/run tools test interop examples

race: ## short tests under the race detector
	@.ci/run race

fuzz: ## each fuzz target for some seconds
	@.ci/run fuzz

bench: ## all benchmarks, with allocations
	go test -run '^$$' -bench . -benchmem ./...

ci: ## the whole gate, as a submission runs it
	@.ci/run
