package httpapi

// limitOf returns the size of a page.
func limitOf(limit *int) int {
	if limit == nil {
		return 20
	}
	return *limit
}

// wirePage returns what a page shows of all, and whether another one follows: then all has
// one more than the page.
func wirePage[T, W any](all []T, limit int, wire func(T) W) (data []W, more bool) {
	data = make([]W, min(limit, len(all)))
	for i := range data {
		data[i] = wire(all[i])
	}
	return data, len(all) > limit
}
