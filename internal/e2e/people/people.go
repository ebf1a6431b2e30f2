// Package people holds tests of how people sign in, with what stands between them and the
// pages: a real browser, the programs that look into mails before they do, and whoever
// measures how long an answer takes.
//
// The browser is Chromium, or what LEVQOR_TEST_CHROMIUM names. One that is missing skips a
// test, loudly; with CI=true it fails it.
//
// LEVQOR_SCREENSHOTS names a directory that gets a picture of each page, wide and narrow:
//
//	LEVQOR_SCREENSHOTS=/tmp/pages go test -C internal/e2e ./people -run Pages
//
// LEVQOR_SCANS=all lets people sign in both ways after each scan of a mail, by its link and by
// its code; without it they take turns:
//
//	LEVQOR_SCANS=all go test -C internal/e2e ./people -run Scanners
//
// LEVQOR_TIMING says how many known and how many unknown addresses are asked for; without
// it a small sample is:
//
//	LEVQOR_TIMING=2000 go test -C internal/e2e ./people -run TakeEqualTime -v
package people
