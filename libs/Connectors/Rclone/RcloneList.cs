using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace DarkStorage.Connectors.Rclone;

/// <summary>A file or folder, as rclone tells of it.</summary>
/// <param name="Name">The last segment.</param>
/// <param name="Size">-1 where the place does not know.</param>
internal sealed record RcloneItem(string Name, long Size, DateTimeOffset Modified, bool IsFolder)
{
    /// <returns>Null where it makes no sense.</returns>
    public static RcloneItem? Parse(JsonElement item) =>
        item.ValueKind == JsonValueKind.Object && item.TryGetProperty(nameof(Name), out var name) && name.ValueKind == JsonValueKind.String
        && item.TryGetProperty(nameof(Size), out var size) && size.ValueKind == JsonValueKind.Number && size.TryGetInt64(out var bytes)
            ? new(name.GetString()!, bytes, item.TryGetProperty("ModTime", out var time) && time.ValueKind == JsonValueKind.String ? Time(time.GetString()) : DateTimeOffset.UnixEpoch, item.TryGetProperty("IsDir", out var isFolder) && isFolder.ValueKind == JsonValueKind.True)
            : null;

    public static DateTimeOffset Time(string? text) =>
        DateTimeOffset.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, System.Globalization.DateTimeStyles.AssumeUniversal | System.Globalization.DateTimeStyles.AdjustToUniversal, out var time) ? time : DateTimeOffset.UnixEpoch;
}

/// <summary>The answer to <c>operations/list</c>, <c>{"list":[{…},…]}</c>, item by item: a folder of millions is not held.</summary>
internal static class RcloneList
{
    /// <summary>Bytes of one name, number or other word of the answer.</summary>
    private const int TokenBytesMax = 1 << 20;

    /// <summary>Of the objects in the list: around it there are the answer and the list.</summary>
    private const int ItemDepth = 2;

    /// <exception cref="RcloneException">It is no such answer.</exception>
    public static async IAsyncEnumerable<RcloneItem> ReadAsync(Stream answer, [EnumeratorCancellation] CancellationToken ct)
    {
        var reader = PipeReader.Create(answer, new(leaveOpen: true));
        var (state, items) = (new ItemState(), new List<RcloneItem>());
        while (true)
        {
            var read = await reader.ReadAsync(ct);
            var consumed = state.Parse(read.Buffer, read.IsCompleted, items);
            var left = read.Buffer.Slice(consumed).Length;
            reader.AdvanceTo(consumed, read.Buffer.End);
            foreach (var item in items) yield return item;
            items.Clear();
            if (read.IsCompleted) yield break;
            if (left > TokenBytesMax) throw Nonsense();
        }
    }

    private static RcloneException Nonsense() => new(0, "rclone's list makes no sense");

    /// <summary>Where in the answer the last piece of it ended.</summary>
    private sealed class ItemState
    {
        private JsonReaderState _json;
        private string? _property;
        private string? _name;
        private long? _size;
        private string? _modified;
        private bool _isFolder;

        public SequencePosition Parse(System.Buffers.ReadOnlySequence<byte> piece, bool isLast, List<RcloneItem> items)
        {
            try
            {
                var json = new Utf8JsonReader(piece, isLast, _json);
                while (json.Read()) Take(ref json, items);
                _json = json.CurrentState;
                return json.Position;
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
            {
                throw Nonsense();
            }
        }

        private void Take(ref Utf8JsonReader json, List<RcloneItem> items)
        {
            if (json.CurrentDepth == ItemDepth && json.TokenType == JsonTokenType.StartObject)
            {
                (_name, _size, _modified, _isFolder) = (null, null, null, false);
            }
            else if (json.CurrentDepth == ItemDepth && json.TokenType == JsonTokenType.EndObject)
            {
                items.Add(new(_name ?? throw Nonsense(), _size ?? throw Nonsense(), RcloneItem.Time(_modified), _isFolder));
            }
            else if (json.CurrentDepth == ItemDepth + 1)
            {
                if (json.TokenType == JsonTokenType.PropertyName) _property = json.GetString();
                else if (_property == "Name") _name = json.GetString();
                else if (_property == "Size") _size = json.GetInt64();
                else if (_property == "ModTime") _modified = json.GetString();
                else if (_property == "IsDir") _isFolder = json.GetBoolean();
            }
        }
    }
}
