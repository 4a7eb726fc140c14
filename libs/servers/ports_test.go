package servers

import "testing"

func TestAPortIsGivenOnce(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	if mine, err := claim(port); mine || err != nil {
		t.Errorf("port %d was given again: %v", port, err)
	}
}
