package snapshot

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A restore that was cut off while it filled goes on with what is missing, and comes to the same.
func TestARestoreGoesOnWhereItWasCutOff(t *testing.T) {
	o := newOffice(t)
	login := o.books(t)
	repo, _ := folder(t)
	made := o.snapshot(t, repo, o.order(login, "", 1, nil))
	other := o.snapshot(t, repo, o.order(login, "", 2, made))
	to := o.empty(t)
	counted := &mortal{Store: repo.Store}
	repo.Store = counted

	ctx, cut := context.WithCancel(t.Context())
	order := RestoreOrder{Tools: o.tools, Login: to, Ref: made.Ref, Head: &made.Head, Connections: 1}
	order.Progress = func(done, all int64) {
		if done > all*9/10 {
			cut()
		}
	}
	_, err := Restore(ctx, repo, order)
	require.Error(t, err)
	first := counted.calls.Load()

	wrong := order
	wrong.Progress, wrong.Resume, wrong.Ref, wrong.Head = nil, true, other.Ref, &other.Head
	_, err = Restore(t.Context(), repo, wrong)
	require.ErrorIs(t, err, errOther)

	counted.calls.Store(0)
	var begun int64
	order.Resume, order.Progress = true, func(done, _ int64) {
		if begun == 0 {
			begun = done
		}
	}
	restored, err := Restore(t.Context(), repo, order)
	require.NoError(t, err)
	require.True(t, restored.Resumed)
	require.Equal(t, o.digest(t, login), o.digest(t, to))
	require.Greater(t, begun, made.Bytes/2, "what is there is not filled again")
	require.Less(t, counted.calls.Load(), first)

	_, err = Restore(t.Context(), repo, order) // It is whole already.
	require.Error(t, err)
}
