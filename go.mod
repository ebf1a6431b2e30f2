module github.com/levqor/sdk

go 1.26
