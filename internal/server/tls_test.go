package server_test

import (
	"crypto/tls"
	"testing"
)

// TestOldTLS is lesson S22: versions of TLS before 1.2 are refused, those from it on are not.
func TestOldTLS(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.set("listen.component_tls=127.0.0.1:0")
		st.running()
		for version, taken := range map[uint16]bool{
			tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
		} {
			conn, err := tls.Dial("tcp", st.server.ComponentTLSAddr(),
				&tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}) // self-signed
			if (err == nil) != taken {
				breakf("%s: %v", tls.VersionName(version), err)
			}
			if err == nil {
				_ = conn.Close()
			}
		}
	})
}
