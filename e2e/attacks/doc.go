// Package attacks holds every attack case of the threat model against the wired program, each under its identifier.
package attacks
