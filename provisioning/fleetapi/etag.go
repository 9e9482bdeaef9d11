package fleetapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/boomgate/boomgate/provisioning"
)

// etag is the entity tag of a version (RFC 9110 §8.8.3).
func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// noVersion is a version that no record has.
const noVersion = math.MaxUint64

// expectedVersion reads If-Match (RFC 9110 §13.1.1): 0 stands for any version.
// A tag that this API never gave, a weak one included, matches no record.
func expectedVersion(ifMatch string) (uint64, error) {
	tag := strings.TrimSpace(ifMatch)
	if tag == "" || tag == "*" {
		return 0, nil
	}
	tag = strings.TrimPrefix(tag, "W/")
	if len(tag) < 2 || tag[0] != '"' || strings.IndexByte(tag[1:], '"') != len(tag)-2 {
		return 0, badRequest.problem(`If-Match must be one entity tag, as in: If-Match: "7"`).
			at("header.If-Match", "must be one entity tag in double quotes")
	}
	version, _ := strconv.ParseUint(tag[1:len(tag)-1], 10, 64)
	if version == 0 || etag(version) != strings.TrimSpace(ifMatch) {
		version = noVersion
	}
	return version, nil
}

// checkVersion turns the conflict of a write that asked for a version into 412,
// and says which version there is.
func checkVersion(ctx context.Context, err error, ifVersion uint64, current func(context.Context) (uint64, error)) error {
	if ifVersion == 0 || !errors.Is(err, provisioning.ErrConflict) {
		return err
	}
	version, readErr := current(ctx)
	if readErr != nil {
		return err
	}
	return versionMismatch.problem(fmt.Sprintf(
		"The record has version %d, which is not the one in If-Match. Read it again, decide again, and send If-Match: %s.",
		version, etag(version))).with("ETag", etag(version))
}
