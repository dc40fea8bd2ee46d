module libatls.invalid/atls

go 1.24
