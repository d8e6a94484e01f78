module github.com/nodeguard/nodeguard/test

go 1.26
