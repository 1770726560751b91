using System.Collections.Immutable;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Backends;

/// <summary>Tries all that the store needs of a backend, on a small blob of its own.</summary>
public static class BackendProbe
{
    private const string Folder = "darkstorage-probe/";
    private const int ContentBytes = 70_000;

    /// <summary>Whether a blob is one of a test's.</summary>
    public static bool IsOf(BlobName name) => name.Value.StartsWith(Folder, StringComparison.Ordinal);

    /// <summary>For what a step that failed has left.</summary>
    private static readonly TimeSpan DeletingMax = TimeSpan.FromSeconds(5);

    /// <summary>Asked for to see whether a place answers. It need not be there.</summary>
    public static readonly BlobName HealthName = BlobName.Parse(Folder + "health");

    /// <remarks>It does not make the place ready: of one that is gone, that would make another.</remarks>
    /// <returns>The steps to the first that failed. What was written is deleted also where a step failed, if that can be done.</returns>
    public static async Task<IntegrationTest> RunAsync(IBackend backend, TimeProvider clock, CancellationToken ct)
    {
        var name = BlobName.Parse($"{Folder}{Guid.NewGuid():N}");
        var content = RandomNumberGenerator.GetBytes(ContentBytes);
        var range = new ByteRange(1_000, 66_000);
        var steps = ImmutableArray.CreateBuilder<IntegrationTestStep>();
        var passed = await TryAsync("write", async () =>
        {
            await backend.PutAsync(name, BlobSource.Of(content), ct);
            return null;
        }) && await TryAsync("find", async () =>
            await backend.StatAsync(name, ct) is not { } found ? "What was just written is not there." : found.Length != ContentBytes ? $"{ContentBytes} bytes were written, and it says {found.Length}." : null)
        && await TryAsync("read", async () => await ReadAsync(backend, name, ByteRange.All(ContentBytes), ct) is var all && all.AsSpan().SequenceEqual(content) ? null : "Other bytes came back than were written.")
        && await TryAsync("read a range", async () =>
            await ReadAsync(backend, name, range, ct) is var some && some.AsSpan().SequenceEqual(content.AsSpan((int)range.First, (int)range.Length)) ? null : "Other bytes came back than those of the range.")
        && await TryAsync("list", async () =>
        {
            await foreach (var blob in backend.ListAsync(name.Value, ct))
            {
                if (blob.Name == name) return null;
            }
            return "What was just written is not in the list.";
        })
        && await TryAsync("settle", async () =>
        {
            await backend.SettleAsync(name, ct);
            // What is cold now is of use only to who may have it warmed up.
            if (backend.Traits.IsCold) await backend.WarmUpAsync(name, WarmUpSpeed.Standard, TimeSpan.FromDays(1), ct);
            return null;
        });
        if (passed)
        {
            await TryAsync("delete", async () =>
            {
                await backend.DeleteAsync(name, ct);
                return await backend.StatAsync(name, ct) is not null ? "What was just deleted is still there." : null;
            });
        }
        else
        {
            await DeleteIfPossibleAsync(backend, name, clock);
        }
        return new(steps.ToImmutable());

        async Task<bool> TryAsync(string step, Func<Task<string?>> work)
        {
            var began = clock.GetTimestamp();
            string? failure;
            try
            {
                failure = await work();
            }
            catch (BackendException e)
            {
                failure = $"{e.Error}: {e.Message}";
            }
            catch (OperationCanceledException)
            {
                failure = "It did not answer in time.";
            }
            steps.Add(new(step, failure, clock.GetElapsedTime(began)));
            return failure is null;
        }
    }

    /// <summary>Also for who has left, or had no more time.</summary>
    private static async Task DeleteIfPossibleAsync(IBackend backend, BlobName name, TimeProvider clock)
    {
        using var bounded = new CancellationTokenSource(DeletingMax, clock);
        try
        {
            await backend.DeleteAsync(name, bounded.Token);
        }
        catch (Exception e) when (e is BackendException or OperationCanceledException)
        {
            // The step that failed says what is wrong.
        }
    }

    private static async Task<byte[]> ReadAsync(IBackend backend, BlobName name, ByteRange range, CancellationToken ct)
    {
        await using var stream = await backend.OpenAsync(name, range, ct);
        var content = new byte[range.Length];
        await stream.ReadExactlyAsync(content, ct);
        return content;
    }
}
