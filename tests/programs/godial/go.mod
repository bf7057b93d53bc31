module godial

go 1.21
