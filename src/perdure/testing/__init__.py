"""For those who write providers or test what they build on Perdure: fakes, strategies, conformance suites."""
