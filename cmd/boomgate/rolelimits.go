package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/boomgate/boomgate/provisioning"
)

// limitNames are the members of a role's limits, in the order of the domain.
func limitNames() []string {
	var names []string
	for field := range reflect.TypeFor[provisioning.Limits]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// parseLimits reads name=number texts; 0 takes a limit away.
func parseLimits(command string, texts []string) (map[string]int, error) {
	pairs, err := parsePairs("--limit", texts)
	if err != nil {
		return nil, usageError{err: err, command: command}
	}
	limits := make(map[string]int, len(pairs))
	for name, text := range pairs {
		number, err := strconv.Atoi(text)
		if !slices.Contains(limitNames(), name) || err != nil || number < 0 {
			return nil, usagef(command, "--limit %s=%s: use a number for one of %s", name, text, strings.Join(limitNames(), ", "))
		}
		limits[name] = number
	}
	return limits, nil
}

// limitsPatch changes the limits that are named and leaves the rest.
func limitsPatch(limits map[string]int) map[string]any {
	patch := make(map[string]any, len(limits))
	for name, number := range limits {
		patch[name] = orNull(int64(number))
	}
	return patch
}

// wholeLimits sets the limits that are named and takes the rest away.
func wholeLimits(limits map[string]int) map[string]any {
	patch := limitsPatch(limits)
	for _, name := range limitNames() {
		if _, given := patch[name]; !given {
			patch[name] = nil
		}
	}
	return patch
}

// limitTexts shows limits to people.
func limitTexts(limits provisioning.Limits) string {
	var texts []string
	for field, value := range reflect.ValueOf(limits).Fields() {
		if value.Int() > 0 {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			texts = append(texts, fmt.Sprintf("%s=%d", name, value.Int()))
		}
	}
	return strings.Join(texts, ", ")
}
