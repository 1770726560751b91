using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

public sealed class OwnFilesTests
{
    [Fact]
    public void As_many_files_are_remembered_as_there_are_to_be_though_each_is_said_twice()
    {
        var own = new OwnFiles();
        for (var i = 0; i < OwnFiles.FilesMax; i++)
        {
            // Before it is sent, and when it is there.
            own.Add(NameOf(i), FileOf(i));
            own.Add(NameOf(i), FileOf(i) with { IsVerified = true });
        }
        Assert.Equal(OwnFiles.FilesMax, own.Below("").Count);
        Assert.True(own.Find(NameOf(0))!.IsVerified);
        own.Add(NameOf(OwnFiles.FilesMax), FileOf(OwnFiles.FilesMax));
        Assert.Null(own.Find(NameOf(0)));
        Assert.NotNull(own.Find(NameOf(1)));
        Assert.Equal(OwnFiles.FilesMax, own.Below("").Count);
    }

    [Fact]
    public void A_file_that_another_of_its_name_has_replaced_takes_nothing_of_that_with_it()
    {
        var own = new OwnFiles();
        own.Add(NameOf(0), FileOf(0));
        own.Add(NameOf(0), FileOf(-1));
        for (var i = 1; i < OwnFiles.FilesMax; i++) own.Add(NameOf(i), FileOf(i));
        Assert.Equal(FileOf(-1).Id, own.Find(NameOf(0))!.Id);
    }

    private static BlobName NameOf(int number) => BlobName.Parse($"n/{number}");

    private static DriveFile FileOf(int number) => new($"id-{number}", DriveFile.KeyOf(NameOf(number)), "20261122T143037123Z-0123456789abcdef", 1, new("", ""));
}
