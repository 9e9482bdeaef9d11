package topicacl_test

import (
	"fmt"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

func ExampleCompile() {
	grants, ignored := topicacl.Compile([]string{"pub:parking/v1/+/state?qos=1", "sub:parking/v1/#", "telemetry:write"})
	fmt.Println(grants.Publish("parking/v1/b2-017/state", 1, true).Reason)
	fmt.Println(grants.Publish("parking/v1/b2-017/state", 2, true).Reason)
	fmt.Println(grants.Subscribe("$share/workers/parking/v1/+/state").Allowed)
	fmt.Println(grants.Subscribe("parking/#").Reason)
	fmt.Println(ignored[0].Scope, "is", ignored[0].Err)
	// Output:
	// granted
	// qos above limit
	// true
	// no grant
	// telemetry:write is not a topic scope
}

func ExampleExpand() {
	labels := map[string]string{"client_id": "dev-1"}
	value := func(name string) (string, bool) { v, ok := labels[name]; return v, ok }
	scope, err := topicacl.Expand("sub:parking/v1/{labels.site|+}/{client_id}/cmd/+", value)
	fmt.Println(scope, err)
	// Output:
	// sub:parking/v1/+/dev-1/cmd/+ <nil>
}

func ExampleParseAIF() {
	scopes, err := topicacl.ParseAIF([]byte(`[["parking/v1/+/state",["pub","sub"]],["parking/v1/#",["sub"]]]`))
	fmt.Println(scopes, err)
	// Output:
	// [pub:parking/v1/+/state sub:parking/v1/+/state sub:parking/v1/#] <nil>
}
