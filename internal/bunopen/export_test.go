package bunopen

import "database/sql/driver"

// Keeping wraps a connector as those of files are.
func Keeping(c driver.Connector) driver.Connector { return fileConnector{c} }

// MaxKept is how many statements are kept.
const MaxKept = maxKept
