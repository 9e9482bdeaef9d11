package fleetapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// MergePatch is a JSON merge patch (RFC 7396) of a T: what it names is replaced,
// null takes away, objects are merged member by member.
type MergePatch[T any] struct{ document json.RawMessage }

// UnmarshalJSON keeps the document.
func (p *MergePatch[T]) UnmarshalJSON(data []byte) error {
	p.document = bytes.Clone(data)
	return nil
}

// Schema refers to the schema of T with every member optional and nullable.
func (MergePatch[T]) Schema(r huma.Registry) *huma.Schema {
	t := reflect.TypeFor[T]()
	name := t.Name() + "Patch"
	reference := &huma.Schema{Ref: "#/components/schemas/" + name}
	if r.Map()[name] != nil {
		return reference
	}
	s := huma.SchemaFromType(r, t)
	loosen(r, s)
	s.Description = "JSON merge patch (RFC 7396): what is named is replaced, null takes away, maps are merged member by member."
	r.Map()[name] = s
	return reference
}

// loosen makes every member of an object's schema optional and nullable, and
// those of its own objects.
func loosen(r huma.Registry, s *huma.Schema) {
	s.Required = nil
	for name, property := range s.Properties {
		if property.Ref != "" {
			inner := *r.SchemaFromRef(property.Ref)
			inner.Description, inner.Properties = property.Description, maps.Clone(inner.Properties)
			for member, schema := range inner.Properties {
				own := *schema
				inner.Properties[member] = &own
			}
			loosen(r, &inner)
			property = &inner
			s.Properties[name] = property
		}
		property.Nullable = true
		if values, ok := property.AdditionalProperties.(*huma.Schema); ok {
			values.Nullable = true
		}
	}
	s.PrecomputeMessages()
}

// apply returns what the patch makes of a value, which it leaves as it is.
func (p MergePatch[T]) apply(current T) (T, error) {
	var none T
	before, err := json.Marshal(current)
	if err != nil {
		return none, fmt.Errorf("writing the record: %w", err)
	}
	var target, patch any
	if err := json.Unmarshal(before, &target); err != nil {
		return none, fmt.Errorf("reading the record: %w", err)
	}
	if err := json.Unmarshal(p.document, &patch); err != nil {
		return none, fmt.Errorf("reading the patch: %w", err)
	}
	merged, err := json.Marshal(merge(target, patch))
	if err != nil {
		return none, fmt.Errorf("writing the patched record: %w", err)
	}
	var after T
	if err := json.Unmarshal(merged, &after); err != nil {
		return none, badRequest.problem("The patch does not make a record.")
	}
	return after, nil
}

// merge is MergePatch of RFC 7396 §2.
func merge(target, patch any) any {
	members, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged, ok := target.(map[string]any)
	if !ok {
		merged = map[string]any{}
	}
	for name, value := range members {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = merge(merged[name], value)
		}
	}
	return merged
}
