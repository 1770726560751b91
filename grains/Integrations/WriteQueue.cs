namespace DarkStorage.Grains.Integrations;

/// <summary>Has the writes of a grain whose calls interleave happen one after the other, in the order in which they were asked for: its state is written by one at a time.</summary>
/// <remarks>For one activation, whose turns never run at once.</remarks>
internal sealed class WriteQueue
{
    private Task _last = Task.CompletedTask;

    /// <param name="write">What fails it fails for its own caller alone.</param>
    public async Task RunAsync(Func<Task> write)
    {
        var (before, written) = (_last, new TaskCompletionSource());
        _last = written.Task;
        await before;
        try
        {
            await write();
        }
        finally
        {
            written.SetResult();
        }
    }
}
