package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kontor.internal/snapshot"
)

func snapshotFiles(r *repositoryFlags) *cobra.Command {
	return &cobra.Command{
		Use: "files SNAPSHOT", Short: "List the documents in a snapshot: number, time, bytes, name", Args: cobra.ExactArgs(1),
		RunE: r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error {
			ref, err := find(ctx, repo, args[0])
			if err != nil {
				return err
			}
			files, err := snapshot.OpenFiles(ctx, repo, ref, nil)
			if err != nil {
				return err
			}
			return files.List(ctx, 0, func(f snapshot.FiledFile) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%8d  %-20s  %12d  %s\n", f.Number, f.Time.Format(time.RFC3339), f.Size, printable(f.Name))
				return err
			})
		}),
	}
}

func snapshotFile(r *repositoryFlags) *cobra.Command {
	var name, path string
	cmd := &cobra.Command{
		Use: "file SNAPSHOT", Short: "Write one document of a snapshot to a new file", Args: cobra.ExactArgs(1),
		Long: `Writes one document to a new file, and checks it against the hash that it came with. Where it is not that document, no file is left.`,
		RunE: r.with(func(ctx context.Context, repo snapshot.Repository, cmd *cobra.Command, args []string) error {
			ref, err := find(ctx, repo, args[0])
			if err != nil {
				return err
			}
			files, err := snapshot.OpenFiles(ctx, repo, ref, nil)
			if err != nil {
				return err
			}
			f, err := files.Find(ctx, name)
			if err != nil {
				return err
			}
			if err := writeFile(ctx, files, f, path); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\n", path, f.Size)
			return nil
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "the document's name, as files lists it")
	cmd.Flags().StringVar(&path, "to", "", "the file to write, which must not be there")
	for _, flag := range []string{"name", "to"} {
		_ = cmd.MarkFlagRequired(flag) // It is there.
	}
	return cmd
}

// writeFile writes a document whole, or leaves nothing.
func writeFile(ctx context.Context, files *snapshot.OpenedFiles, f snapshot.FiledFile, path string) error {
	to, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = files.Read(ctx, f, func(piece []byte) error {
		_, err := to.Write(piece)
		return err
	})
	if err = errors.Join(err, to.Close()); err != nil {
		return errors.Join(err, os.Remove(to.Name()))
	}
	return nil
}
